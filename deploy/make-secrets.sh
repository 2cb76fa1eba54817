#!/bin/sh
# Makes the secrets of docker-compose.yml under secrets/, each in a file of its own. Those that are there stay.
# GROQ_API_KEY in the environment is kept too; without it the file is empty, and organizations enter keys of their own.
set -eu
cd "$(dirname "$0")/.."

# Nobody else on this machine gets into the directory. The files can be read by the containers' users, who are not ours.
mkdir -p secrets
chmod 700 secrets
umask 022

for name in postgres_password secret_key metrics_token grafana_password; do
    [ -s "secrets/$name" ] || head -c 48 /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_' > "secrets/$name"
done
if [ -n "${GROQ_API_KEY:-}" ] || [ ! -e secrets/groq_api_key ]; then
    printf %s "${GROQ_API_KEY:-}" > secrets/groq_api_key
fi
echo "The secrets are under $(pwd)/secrets."
