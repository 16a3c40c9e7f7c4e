#!/bin/sh
exec python3 "$(dirname "$0")/help_server.py"
