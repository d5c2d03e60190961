"""What leaves the house: Debian packages and offline bundles of the programs, made from the hash-checked locks.

    PYTHONPATH=packaging python -m shipping deb        # make deb
    PYTHONPATH=packaging python -m shipping bundle     # make bundle

Nothing here runs on the machine that the programs are installed on.
"""
