"""What all readers of usage share, whichever store holds the rows: windows, folding, cursors. Pure."""
