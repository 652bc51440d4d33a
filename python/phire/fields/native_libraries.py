"""Native libraries that must be loaded in a certain order; imported before any of them.

pyproj (under cartopy and pyshtools) and eccodes (under cfgrib, which xarray loads whenever it opens
a file) each bring a PROJ of their own. With eccodes' loaded first, pyproj takes symbols from it,
and the process dies when it ends ("double free or corruption"). The other order is sound. Where a
notebook has opened a file with xarray already, it is too late: pyproj is then left alone, and only
what needs it (maps) loads it.
"""

import contextlib
import sys

if "gribapi" not in sys.modules:
    with contextlib.suppress(ImportError):
        import pyproj  # noqa: F401
