"""The program: composition, the command line, and how its processes run."""
