"""Import of pyproj before eccodes, without which the process crashes at exit.

pyproj (used by cartopy and pyshtools) and eccodes (used by cfgrib, which xarray loads when it opens
any file) each contain a copy of the PROJ library. If eccodes is loaded first, pyproj uses symbols
of its copy and the process crashes at exit ("double free or corruption"). The other order works.
If eccodes is loaded already, as in a notebook that has opened a file, pyproj is not imported by
this module, only by functions that need it (maps).
"""

import contextlib
import sys

if "gribapi" not in sys.modules:
    with contextlib.suppress(ImportError):
        import pyproj  # noqa: F401  only its library must be loaded
