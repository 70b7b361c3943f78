"""Mailboxes with pictures, and the example that reads them."""

from __future__ import annotations

import importlib.util
import mailbox
import sys
from email.message import EmailMessage
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mailbox_source.py"


def example():
    """Return the module of the example."""
    name = EXAMPLE.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLE)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def message(*files):
    """Return a mail with some pictures."""
    mail = EmailMessage()
    mail["Subject"] = "Pictures"
    mail["From"] = "a@example.org"
    mail.set_content("From here on there are pictures.\nFrom the sea.\n")
    for file in files:
        mail.add_attachment(file.read_bytes(), maintype="image", subtype="png", filename=file.name)
    return mail


def write(path, *messages):
    """Add mails to a mailbox, as a mail program does."""
    box = mailbox.mbox(path)
    for mail in messages:
        box.add(mail)
    box.close()
    return path
