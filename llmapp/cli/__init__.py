"""The command line: reads arguments, calls the application, prints. Knows no layer below it but through `llmapp.application`."""
