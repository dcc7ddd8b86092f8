# Sourced: where a proxy signs what the package index sends, the build's secret `certificates` says whom to trust.
if [ -s /run/secrets/certificates ]; then
    export SSL_CERT_FILE=/run/secrets/certificates PIP_CERT=/run/secrets/certificates
fi
