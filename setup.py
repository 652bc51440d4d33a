"""Packaging of phire: ``pip install .`` installs the library and its console scripts."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "grib": ["eccodes>=2.37"],
    "pyspharm": ["pyspharm>=1.0.9"],
    "localized": ["pyshtools>=4.12"],
    "maps": ["cartopy>=0.23", "pyshp>=2.3"],
    "video": ["imageio-ffmpeg>=0.5"],
    "cuda": ["tensorflow[and-cuda]>=2.18"],
}
EXTRAS["versions"] = ["hypothesis>=6.100", "pytest>=8", "pytest-timeout>=2.3"]
EXTRAS["notebooks"] = ["ipykernel>=6.29", "nbclient>=0.10", "nbformat>=5.10"]
EXTRAS["docs"] = [
    "mkdocs-click>=0.8",
    "mkdocs-jupyter>=0.25",
    "mkdocs-material>=9.5",
    "mkdocstrings[python]>=0.26",
]
EXTRAS["test"] = [
    *EXTRAS["docs"],
    *EXTRAS["grib"],
    *EXTRAS["localized"],
    *EXTRAS["maps"],
    *EXTRAS["notebooks"],
    *EXTRAS["video"],
    "axe-playwright-python>=0.1.7",
    "build>=1.2",
    "cfgrib>=0.9.14",
    "gstools>=1.6",
    *EXTRAS["versions"],
    "import-linter>=2.0",
    "jax>=0.4.30",
    "playwright>=1.45",
    "pyresample>=1.28",
    "pysteps>=1.10",
    "pytest-xdist>=3.5",
    "ruff>=0.6",
    "scikit-image>=0.24",
    "scores>=2.0",
    "scoringrules>=0.7",
    "xarray-regrid>=0.4",
    "xskillscore>=0.0.26",
    "xugrid>=0.12",
]

COMMANDS = {
    "phire": "phire",
    "phire-data": "phire_data",
    "phire-eval": "phire_eval",
    "phire-train": "phire_train",
    "rplearn-certainty": "rplearn_certainty",
    "rplearn-compare": "rplearn_compare",
    "rplearn-data": "rplearn_data",
    "rplearn-eval": "rplearn_eval",
    "rplearn-features": "rplearn_features",
    "rplearn-probe": "rplearn_probe",
    "rplearn-train": "rplearn_train",
}

setup(
    name="phire",
    version="0.1.0",
    description=(
        "Learned distances, super-resolution and honest statistics for gridded atmospheric fields"
    ),
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The phire developers",
    project_urls={
        "AtmoDist": "https://doi.org/10.1017/eds.2023.1",
        "PhIRE": "https://doi.org/10.1073/pnas.1918964117",
    },
    keywords=["atmosphere", "downscaling", "super-resolution", "verification", "ensembles"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Atmospheric Science",
    ],
    python_requires=">=3.11",
    package_dir={"": "python"},
    packages=find_packages("python"),
    package_data={"phire": ["data/*"]},
    install_requires=[
        "click>=8.2",
        "cf-xarray>=0.10.4",
        "cftime>=1.6.4",
        "dask[array,distributed]>=2024.8",
        "ducc0>=0.36",
        "google-crc32c>=1.5",
        "h5netcdf>=1.4",
        "h5py>=3.12",
        "hdf5plugin>=5.0",
        "isal>=1.6",
        "Jinja2>=3.1",
        "keras>=3.9",
        "lazy-loader>=0.4",
        "matplotlib>=3.10",
        "pillow>=10",
        "pint>=0.24.4",
        "netCDF4>=1.7.2",
        "numpy>=2.0",
        "omegaconf>=2.4",
        "pandas>=2.2.3",
        "pyproj>=3.6",
        "PyYAML>=6",
        "rich>=13",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "tensorboard>=2.18",
        "tensorflow>=2.18",
        "threadpoolctl>=3.5",
        "xarray>=2025.6.1",
        "zarr>=3.0.8",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            f"{name} = phire.cli.{module}:main" for name, module in COMMANDS.items()
        ]
    },
)
