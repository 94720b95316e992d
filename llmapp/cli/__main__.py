"""`python -m llmapp.cli`, for where the script `llmapp` is not on the path."""

from llmapp.cli.main import main

main()
