#!/bin/sh
exec python3 "$(dirname "$0")/notes_server.py"
