"""What the gateway and the router share. This module holds the version of all of Warren, and nothing else:
the members' packages, the chart, the images and the JavaScript client take theirs from here.
"""

__version__ = "0.1.0"
