"""Network families of DL4DS (Gonzalez 2023, doi:10.1017/eds.2022.32), for fields and windows."""
