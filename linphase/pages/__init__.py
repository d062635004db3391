"""Documents made of stored results: the report and the explorer."""
