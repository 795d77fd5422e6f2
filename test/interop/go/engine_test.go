// Our engine as its operators run it: a child process started from source, on a data directory of its own.
package interop

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rstreamlabs/rstream-go"
)

const (
	commandWait = 30 * time.Second
	startWait   = 30 * time.Second
	answerWait  = 15 * time.Second
	pollEvery   = 50 * time.Millisecond
)

// engine is one engine: where it listens, whom it trusts, and its life as a process.
type engine struct {
	directory string
	port      int
	token     string
	roots     *x509.CertPool
	process   *exec.Cmd
}

// startEngine makes a data directory, a token and a running engine; all of it is gone when the test ends.
func startEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{directory: filepath.Join(t.TempDir(), "data"), port: freePort(t), roots: x509.NewCertPool()}
	engineCommand(t, "init", "--dir", e.directory, "--host", "localhost", "--listen", fmt.Sprintf("127.0.0.1:%d", e.port))
	e.token = e.createToken(t, "interop")
	ca, err := os.ReadFile(e.caFile())
	if err != nil || !e.roots.AppendCertsFromPEM(ca) {
		t.Fatalf("ca.pem is not a certificate: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(e.logFile())
			t.Logf("the engine's log:\n%s", log)
		}
		if e.process != nil {
			e.kill(t)
		}
	})
	e.start(t)
	return e
}

func (e *engine) address() string { return fmt.Sprintf("localhost:%d", e.port) }
func (e *engine) caFile() string  { return filepath.Join(e.directory, "ca.pem") }
func (e *engine) logFile() string { return filepath.Join(e.directory, "engine.log") }

func (e *engine) createToken(t *testing.T, name string) string {
	t.Helper()
	config := filepath.Join(e.directory, "config.yaml")
	return strings.TrimSpace(engineCommand(t, "token", "create", "--config", config, "--name", name, "--quiet"))
}

// start runs `serve` on the same port and the same data as before.
func (e *engine) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(e.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	process := engineProcess("serve", "--config", filepath.Join(e.directory, "config.yaml"))
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	e.process = process
	waitFor(t, startWait, "the engine takes TLS connections", func() bool {
		dialer := &net.Dialer{Timeout: 2 * time.Second}
		config := &tls.Config{RootCAs: e.roots, ServerName: "localhost", NextProtos: []string{"rstrm/1"}}
		conn, err := tls.DialWithDialer(dialer, "tcp", fmt.Sprintf("127.0.0.1:%d", e.port), config)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// kill is kill -9, as a power cut: the engine says goodbye to nobody.
func (e *engine) kill(t *testing.T) {
	t.Helper()
	if err := e.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The error only says that it was killed.
	_ = e.process.Wait()
	e.process = nil
}

// client is an SDK client that trusts this engine's CA.
func (e *engine) client(t *testing.T, token string, zeroRTT bool) *rstream.Client {
	t.Helper()
	client, err := rstream.NewClient(rstream.ClientOptions{
		Engine:          e.address(),
		Token:           token,
		TLSClientConfig: &tls.Config{RootCAs: e.roots},
		ZeroRTT:         rstream.BoolPtr(zeroRTT),
	})
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// fetch gets a published address as a plain client does; names under t.localhost are connected to 127.0.0.1.
func (e *engine) fetch(address string) (status int, body string, err error) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", e.port))
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: answerWait}
	response, err := client.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// expectPong fails the test unless the address answers as the upstreams do.
func (e *engine) expectPong(t *testing.T, address string) {
	t.Helper()
	status, body, err := e.fetch(address + "/ping")
	if err != nil || status != http.StatusOK || body != "pong\n" {
		t.Fatalf("GET %s/ping = %d %q %v, want 200 \"pong\\n\"", address, status, body, err)
	}
}

// engineProcess is a command of rstream-engine-ce, run from source. go-suite.ts names the checkout and the Node.
func engineProcess(arguments ...string) *exec.Cmd {
	process := exec.Command(os.Getenv("INTEROP_NODE"), append([]string{"--import", "tsx", "src/main.ts"}, arguments...)...)
	process.Dir = os.Getenv("INTEROP_ROOT")
	return process
}

// engineCommand runs a command to its end and returns its standard output, which is not shown: it may be a token.
func engineCommand(t *testing.T, arguments ...string) string {
	t.Helper()
	var complaint strings.Builder
	process := engineProcess(arguments...)
	process.Stderr = &complaint
	deadline := time.AfterFunc(commandWait, func() { _ = process.Process.Kill() })
	defer deadline.Stop()
	output, err := process.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(arguments[:1], " "), err, complaint.String())
	}
	return string(output)
}

// waitFor asks again and again until ready says so, and fails the test at the deadline.
func waitFor(t *testing.T, limit time.Duration, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ready(); time.Sleep(pollEvery) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	return probe.Addr().(*net.TCPAddr).Port
}

// uniqueName serves as tunnel name and as host label.
func uniqueName(t *testing.T) string {
	t.Helper()
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	return "g" + hex.EncodeToString(random)
}
