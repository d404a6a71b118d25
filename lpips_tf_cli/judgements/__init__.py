"""BAPPS data sets, and the scores of a metric on them."""
