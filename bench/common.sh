# Starts PostgreSQL and ShardDB side by side in a temporary directory, on free ports, with every commit synced.
# To be sourced. Sets: work, pg_port, sd_port, server (ShardDB's process id). Ends only what it started.
#
# SHARDDB_BINARY names a server that is built already; otherwise the release one is built.

postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
[ -n "$postgres" ] || { echo "PostgreSQL's server is not installed (Debian: apt-get install postgresql)" >&2; exit 1; }
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/sharddb/target}"
sharddb="${SHARDDB_BINARY:-$CARGO_TARGET_DIR/release/sharddb}"
[ -n "${SHARDDB_BINARY:-}" ] || cargo build --release --quiet --package sharddb-server

work=$(mktemp -d "${TMPDIR:-/var/tmp}/sharddb-bench.XXXXXX")
chmod 755 "$work"
as_postgres=()
if [ "$(id -u)" -eq 0 ]; then
    as_postgres=(runuser -u postgres --)
    mkdir "$work/pg" && chown postgres "$work/pg"
fi
server=""
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    "${as_postgres[@]}" "$postgres/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap stop EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
pg_port=$(free_port)
mkdir -p "$work/pg"
"${as_postgres[@]}" "$postgres/initdb" -D "$work/pg/data" -U postgres --auth=trust >/dev/null
"${as_postgres[@]}" "$postgres/pg_ctl" -D "$work/pg/data" -w -l "$work/pg/log" -o \
    "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/pg -c fsync=on -c shared_buffers=4GB -c max_connections=200" \
    start >/dev/null

"$sharddb" start --data "$work/sharddb" --sql-addr 127.0.0.1:0 --rpc-addr 127.0.0.1:0 --http-addr 127.0.0.1:0 \
    >"$work/sharddb.log" 2>&1 &
server=$!
until grep -q '^ready$' "$work/sharddb.log"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/sharddb.log" >&2; exit 1; }
    sleep 0.1
done
sd_port=$(sed -n 's/.*postgresql:.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/sharddb.log")

# psql on a port, quiet and without decoration.
sql() { port=$1; shift; psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -At "$@" postgres; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
now() { date +%s.%N; }
# Seconds that a command takes; its output is dropped.
seconds_of() {
    local start
    start=$(now)
    "$@" >/dev/null
    awk -v a="$start" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'
}
