"""What every part of Tallyhouse agrees on: records, layouts, names. Imports nothing of ours, does no I/O."""
