#!/bin/sh
# Makes the PFX files of the tests anew, with OpenSSL 3. Their keys are known to everybody: good for nothing but tests.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ec() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
ec "$work/root.key"
ec "$work/middle.key"
ec "$work/ec.key"
openssl genrsa -out "$work/site.key" 2048
openssl req -x509 -new -key "$work/root.key" -subj "/CN=Root" -days 36500 -out "$work/root.pem"
openssl req -new -key "$work/middle.key" -subj "/CN=Middle" |
    openssl x509 -req -CA "$work/root.pem" -CAkey "$work/root.key" -CAcreateserial -days 36500 -out "$work/middle.pem"
for name in site ec; do
    printf 'subjectAltName=DNS:site.test\n' >"$work/names"
    openssl req -new -key "$work/$name.key" -subj "/CN=site.test" |
        openssl x509 -req -CA "$work/middle.pem" -CAkey "$work/middle.key" -CAcreateserial -days 36500 \
            -extfile "$work/names" -out "$work/$name.pem"
done
cat "$work/middle.pem" "$work/root.pem" >"$work/chain.pem"
cat "$work/root.pem" "$work/middle.pem" "$work/site.pem" >"$work/backwards.pem"

export_pfx() { openssl pkcs12 -export "$@"; }
password=pass:sésame
export_pfx -inkey "$work/site.key" -in "$work/site.pem" -certfile "$work/chain.pem" -passout $password -out aes.pfx
export_pfx -inkey "$work/site.key" -in "$work/site.pem" -certfile "$work/chain.pem" -passout $password \
    -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -out 3des.pfx
export_pfx -inkey "$work/site.key" -in "$work/site.pem" -certfile "$work/chain.pem" -passout $password \
    -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40 -macalg sha1 -out rc2.pfx
export_pfx -inkey "$work/ec.key" -in "$work/ec.pem" -passout $password -out ec.pfx
export_pfx -inkey "$work/site.key" -in "$work/site.pem" -certfile "$work/chain.pem" -passout pass: -out open.pfx
export_pfx -inkey "$work/site.key" -in "$work/backwards.pem" -passout $password -out backwards.pfx
export_pfx -inkey "$work/site.key" -in "$work/site.pem" -certfile "$work/chain.pem" -passout $password \
    -nomac -out no-mac.pfx
export_pfx -nokeys -in "$work/site.pem" -passout $password -out no-key.pfx
export_pfx -nocerts -inkey "$work/site.key" -passout $password -out no-certificate.pfx
