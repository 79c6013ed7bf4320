"""`python -m retour` is the command line."""

from retour.cli import main

if __name__ == "__main__":
    main()
