#!/bin/sh
# `bloomery up` in a container: its project is on the storage of the cluster, and begins as the image's.
set -eu

mkdir -p "$BLOOMERY_PROJECT/.dvc"
for file in data.dvc .dvcignore .dvc/config; do
    test -e "$BLOOMERY_PROJECT/$file" || cp "$file" "$BLOOMERY_PROJECT/$file"
done
exec bloomery up
