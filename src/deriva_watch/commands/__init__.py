"""What the commands do. `cli/X` parses options and prints; `commands/X` does the work.

Nothing here prints or knows an exit code.
"""
