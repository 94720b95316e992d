"""Reports as one HTML file: tables and plots, without a script and without anything from outside."""
