#!/bin/sh
# Pin the images of Dockerfile and compose.yaml to what their tags mean today: name:tag becomes name:tag@sha256:..., an older digest is
# replaced. Run it again for security updates of the same version, and after a change of a tag. Commit the difference.
#
# usage: pin-images.sh      needs Docker with buildx, and its registry
set -eu
cd "$(dirname "$0")/.."
digest='sha256:[0-9a-f]{64}'

sed -nE 's/^ *(FROM|image:) +([^ @]+:[^ @]+).*/\2/p' Dockerfile compose.yaml | grep -v '^keycard:' | sort -u | while read -r image; do
    found=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
    echo "$found" | grep -qxE "$digest" || { echo "$image: no digest, but: $found" >&2; exit 1; }
    for file in Dockerfile compose.yaml; do
        changed=$(sed -E "s|^( *(FROM\|image:) +$image)(@$digest)?( .*)?\$|\1@$found\4|" "$file")
        echo "$changed" >"$file"
    done
    echo "$image@$found"
done
