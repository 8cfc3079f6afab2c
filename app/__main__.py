"""`python3 -m app` and the installed command `doorstep`: the same thing."""

from app import bootstrap


def main() -> None:
    """Run the command; in a clone whose dependencies are missing, set them up first."""
    bootstrap.ensure("app")
    from app.cli import run  # noqa: PLC0415 - needs what `ensure` may have to install first

    run()


if __name__ == "__main__":
    main()
