"""`python -m deriva_watch`."""

from deriva_watch.cli import main

if __name__ == "__main__":
    main()
