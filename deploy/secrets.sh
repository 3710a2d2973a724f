#!/bin/sh
# Write the passwords that compose.yaml needs into .env, at random. What is there is kept, so it may be run again.
#
# usage: secrets.sh [FILE]      .env of the checkout when not given
#
# Letters and digits only, because they become part of URLs.
set -eu
file=${1:-$(dirname "$0")/../.env}

umask 077
touch "$file"
chmod 600 "$file"
[ -z "$(tail -c 1 "$file")" ] || echo >>"$file" # the last line has no end
for name in POSTGRES_PASSWORD DATABASE_PASSWORD REDIS_PASSWORD; do
    ! grep -q "^$name=." "$file" || continue
    password=$(openssl rand -hex 24)
    echo "$name=$password" >>"$file"
done
