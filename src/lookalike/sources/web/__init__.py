"""Pictures from addresses, bounded in bytes, in time, in redirects, and in where they may lead.

Importing this costs nothing; the HTTP library is loaded with the first download.
"""

from lookalike.sources.web.addresses import read
from lookalike.sources.web.deadlines import Deadline
from lookalike.sources.web.downloader import Answer, Downloaded, Downloader, download
from lookalike.sources.web.failures import REDIRECTS, Failed, without_secrets

__all__ = [
    "REDIRECTS",
    "Answer",
    "Deadline",
    "Downloaded",
    "Downloader",
    "Failed",
    "download",
    "read",
    "without_secrets",
]
