#!/bin/sh
# Installs rstream-engine-ce from its binary: program, system user, data directory, configuration and systemd service.
#
# Safe to run again: what is as it should be is left alone, a configuration is never overwritten. `install.sh --help` tells more.
set -eu

NAME=rstream-engine-ce
SERVICE=rstream-engine
ACCOUNT=rstream-engine
PROGRAM=/usr/local/bin/$NAME
DATA=/var/lib/rstream-engine
UNIT=/etc/systemd/system/$SERVICE.service
SHARE=/usr/local/share
MANUAL=$SHARE/man/man1/$NAME.1
BASH_COMPLETION=$SHARE/bash-completion/completions/$NAME
ZSH_COMPLETION=$SHARE/zsh/site-functions/_$NAME
FISH_COMPLETION=$SHARE/fish/vendor_completions.d/$NAME.fish

usage() {
  cat << USAGE
usage: install.sh --host NAME [options]      install or update
       install.sh --uninstall [--purge]      remove; --purge removes the data and the user too

  --host NAME       host name of the engine; needed the first time, tunnels get names below t.NAME
  --listen ADDRESS  address of the TLS listener, the first time (default: [::]:443)
  --binary FILE     the binary (default: $NAME or dist/$NAME beside this script)
  --sha256 SUM      its SHA-256 sum (default: the sum in FILE.sha256)
  --no-start        do not start the service
  --dry-run         say what would be done, and do nothing
  --root DIR        install into the system that lies in DIR, and start nothing
USAGE
}

say() { printf '%s\n' "$*"; }
did() { [ "$dry" = yes ] || say "$*"; }
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
# Everything that changes the system goes through here.
run() {
  if [ "$dry" = yes ]; then say "would run: $*"; else "$@"; fi
}

dry=no root='' action=install purge=no start=yes host='' listen='' binary='' sum=''
while [ $# -gt 0 ]; do
  case $1 in
    --host | --listen | --binary | --sha256 | --root)
      if [ -z "${2-}" ]; then die "$1 needs a value"; fi
      case $1 in
        --host) host=$2 ;;
        --listen) listen=$2 ;;
        --binary) binary=$2 ;;
        --sha256) sum=$2 ;;
        --root) root=${2%/} ;;
      esac
      shift
      ;;
    --no-start) start=no ;;
    --dry-run) dry=yes ;;
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) die "unknown option $1; --help lists them" ;;
  esac
  shift
done
[ "$dry" = yes ] || [ "$(id -u)" -eq 0 ] || die 'run it as root (or with --dry-run)'
[ -z "$root" ] || [ -d "$root" ] || die "there is no directory $root"
# Only the system that runs can be told about services.
if [ -n "$root" ] || [ ! -d /run/systemd/system ]; then start=never; fi

account_id() { # passwd or group
  [ ! -r "$root/etc/$1" ] || awk -F: -v name="$ACCOUNT" '$1 == name { print $3; exit }' "$root/etc/$1"
}

# Puts a file in place, whole or not at all; fails when it is there already.
put() { # source path mode
  if cmp -s "$1" "$root$2"; then return 1; fi
  run mkdir -p "$root$(dirname "$2")"
  # Beside it and then renamed: a running program cannot be written to, and a crash leaves the old one.
  run install -m "$3" "$1" "$root$2.new"
  run mv -f "$root$2.new" "$root$2"
  did "installed $2"
}

find_binary() {
  here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
  if [ -z "$binary" ]; then
    for candidate in "$here/$NAME" "$here/dist/$NAME"; do
      if [ -f "$candidate" ]; then binary=$candidate && break; fi
    done
  fi
  [ -n "$binary" ] || die "there is no $NAME beside this script: build it (npm run build), or name it by --binary"
  [ -f "$binary" ] || die "there is no file $binary"
  if [ -z "$sum" ]; then
    [ -f "$binary.sha256" ] || die "there is no $binary.sha256: give the sum by --sha256"
    sum=$(awk -v name="$(basename "$binary")" '$2 == name { print $1; exit }' "$binary.sha256")
  fi
}

# A copy that nobody else can change is checked and then installed: not the file that was there a moment before.
check_binary() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  checked=$work/$NAME
  install -m 755 "$binary" "$checked"
  actual=$(sha256sum "$checked" | cut -d ' ' -f 1)
  [ "$actual" = "$sum" ] || die "$binary is not the file that was published: its SHA-256 sum is $actual"
  version=$("$checked" version) || die "$binary does not run here: it needs glibc 2.34 or later, libstdc++6 and libatomic1"
  version=${version%% *}
}

make_account() {
  [ -z "$(account_id passwd)" ] || return 0
  run useradd ${root:+--prefix "$root"} --system --user-group --home-dir "$DATA" --no-create-home \
    --shell /usr/sbin/nologin "$ACCOUNT"
  did "made the user $ACCOUNT"
}

make_data() {
  if [ -e "$root$DATA/config.yaml" ]; then return 0; fi
  [ -n "$host" ] || die 'the first time it needs --host: the name by which agents reach this machine'
  run mkdir -p "$root$(dirname "$DATA")"
  run "$checked" init --dir "$root$DATA" --host "$host" --listen "${listen:-[::]:443}"
  # Now and never again: whoever becomes the engine's user must not be given files that it links here. By number, since the names of
  # another root mean nothing here.
  run chown -R -h "$(account_id passwd):$(account_id group)" "$root$DATA"
  did "made $DATA for $host"
}

# What a command of the program prints, as a file.
put_output() { # path arguments...
  path=$1
  shift
  "$checked" "$@" > "$work/output"
  put "$work/output" "$path" 644 || true
}

unit() {
  cat << UNIT
# Made by install.sh. To change it: systemctl edit $SERVICE
[Unit]
Description=rstream-engine-ce, a tunnel engine for rstream agents
Wants=network-online.target
After=network-online.target

[Service]
# Not Type=notify: sd_notify goes over a unix datagram socket, which Node does not have; so there is no watchdog either.
# The engine is ready when it logs "engine ready", and ends by itself when it cannot listen.
Type=exec
User=$ACCOUNT
Group=$ACCOUNT
ExecStart=$PROGRAM serve --config $DATA/config.yaml
ExecReload=/bin/kill -HUP \$MAINPID
Restart=on-failure
RestartSec=2
# timeouts.drain_seconds (30) and some more.
TimeoutStopSec=45
# limits.connections (20,000), a socket to an agent for each, and some more.
LimitNOFILE=65536
# Advice: half of the machine's memory, such that the engine is restarted before the system swaps.
#MemoryMax=2G

StateDirectory=$SERVICE
StateDirectoryMode=0700
ReadOnlyPaths=-$DATA/config.yaml
UMask=0077
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @pkey
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute: V8 compiles while it runs.

[Install]
WantedBy=multi-user.target
UNIT
}

install_all() {
  find_binary
  check_binary
  restart=no
  if put "$checked" "$PROGRAM" 755; then restart=yes; fi
  put_output "$MANUAL" man
  put_output "$BASH_COMPLETION" completion bash
  put_output "$ZSH_COMPLETION" completion zsh
  put_output "$FISH_COMPLETION" completion fish
  make_account
  make_data
  unit > "$work/unit"
  if put "$work/unit" "$UNIT" 644; then restart=yes; fi
  if [ "$start" = yes ]; then
    run systemctl daemon-reload
    run systemctl enable "$SERVICE"
    if [ "$restart" = yes ]; then run systemctl restart "$SERVICE"; else run systemctl start "$SERVICE"; fi
  fi
  [ "$dry" = no ] || return 0
  say "$NAME $version is installed. Next, a token for an agent:"
  say "  runuser -u $ACCOUNT -- $PROGRAM token create --config $DATA/config.yaml --name my-agent"
  [ "$start" = yes ] || say "and the service: systemctl enable --now $SERVICE"
}

uninstall_all() {
  if [ "$start" != never ] && [ -e "$UNIT" ]; then run systemctl disable --now "$SERVICE"; fi
  for path in "$UNIT" "$PROGRAM" "$MANUAL" "$BASH_COMPLETION" "$ZSH_COMPLETION" "$FISH_COMPLETION"; do
    if [ -e "$root$path" ]; then run rm -f "$root$path" && did "removed $path"; fi
  done
  if [ "$start" != never ]; then run systemctl daemon-reload; fi
  if [ "$purge" = no ]; then
    [ ! -e "$root$DATA" ] || did "kept $DATA and the user $ACCOUNT; --uninstall --purge removes them"
    return
  fi
  if [ -e "$root$DATA" ]; then run rm -rf "$root$DATA" && did "removed $DATA"; fi
  if [ -n "$(account_id passwd)" ]; then run userdel ${root:+--prefix "$root"} "$ACCOUNT"; fi
}

"${action}_all"
