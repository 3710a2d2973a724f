#!/bin/sh
# Make certificates for trying Keycard on one machine: an authority of your own, and what it signs for the proxy and the mail catcher.
#
# usage: certificate.sh FOLDER NAME...       the names and addresses under which the proxy is reached
#
# What is there is kept. The authority's key is thrown away at once, so nobody can sign anything else with it; trust authority.pem in
# your browser, or give it to curl: curl --cacert authority.pem https://localhost:8443/health/ready
set -eu
folder=$1
shift
[ ! -s "$folder/authority.pem" ] || exit 0

mkdir -p "$folder"
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=Keycard on this machine" \
    -addext keyUsage=critical,keyCertSign -keyout "$work/authority.key" -out "$work/authority.pem" 2>/dev/null

# sign FILE NAME...
sign() {
    file=$1
    shift
    names=
    for name; do
        case $name in
            *[!0-9.]*) names="$names,DNS:$name" ;;
            *) names="$names,IP:$name" ;;
        esac
    done
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:false\n' \
        "${names#,}" >"$work/extensions"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$folder/$file.key" \
        -out "$work/request" 2>/dev/null
    openssl x509 -req -in "$work/request" -CA "$work/authority.pem" -CAkey "$work/authority.key" -CAcreateserial -days 825 \
        -extfile "$work/extensions" -out "$folder/$file.pem" 2>/dev/null
    chmod 644 "$folder/$file.pem"
}

sign proxy "$@"
sign mail mail
# Last: its presence says that all the others are there.
cat "$work/authority.pem" >"$folder/authority.pem"
chmod 755 "$folder"
chmod 644 "$folder/authority.pem"
# The users that read the keys: nginx in its image; where these cannot be given away, they stay yours.
[ "$(id -u)" != 0 ] || chown 101:101 "$folder/proxy.key"
