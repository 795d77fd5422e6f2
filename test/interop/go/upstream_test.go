// The published web servers: python's http.server and Debian's nginx, each over one file `ping`.
package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// site is a directory with the file that both servers serve.
func site(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "ping"), []byte("pong\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return directory
}

// pythonServer answers with HTTP/1.0 and closes after every answer; it returns host:port.
func pythonServer(t *testing.T) string {
	t.Helper()
	port := freePort(t)
	return serve(t, port, "python3", "-m", "http.server", fmt.Sprint(port), "--bind", "127.0.0.1", "--directory", site(t))
}

// nginxServer answers with HTTP/1.1 and keeps connections open; it returns host:port.
func nginxServer(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx"
	}
	port, work := freePort(t), t.TempDir()
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s; ", kind, work, kind)
	}
	config := fmt.Sprintf("daemon off; master_process off; pid %s/pid; events {}\n"+
		"http { access_log off; %s server { listen 127.0.0.1:%d; root %s; } }\n", work, temporary.String(), port, site(t))
	file := filepath.Join(work, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, port, binary, "-p", work, "-e", "stderr", "-c", file)
}

// serve runs a server until the test ends; it returns host:port once the server takes connections.
func serve(t *testing.T, port int, program string, arguments ...string) string {
	t.Helper()
	process := exec.Command(program, arguments...)
	if err := process.Start(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	waitFor(t, 10*time.Second, program+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return address
}

// forward joins every stream that the listener accepts to the upstream, both ways, until the listener closes.
func forward(listener net.Listener, upstream string) {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			conn, err := net.DialTimeout("tcp", upstream, answerWait)
			if err != nil {
				return
			}
			defer conn.Close()
			go func() {
				_, _ = io.Copy(conn, stream)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(stream, conn)
		}()
	}
}
