"""What every reader of usage shares, whatever holds the rows: windows, folding, cursors. Pure."""
