"""Networks of DL4DS for single fields and time windows (Gonzalez 2023, doi:10.1017/eds.2022.32)."""
