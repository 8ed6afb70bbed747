#!/usr/bin/env bash
# What has to hold before a change lands: types, the contract, and a short exploration of schedules and faults.
set -euo pipefail
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci
npm run --silent ci
