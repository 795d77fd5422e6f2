// The official CLI, built from the module: forward, tunnel list, doctor, with a context as a self-hosting user makes it.
package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// home is a user's home directory with a context for one engine.
type home struct{ directory string }

// newHome writes the context the documented way for self-hosted engines with a private CA.
func newHome(t *testing.T, e *engine) *home {
	t.Helper()
	h := &home{directory: t.TempDir()}
	token := filepath.Join(h.directory, "token")
	if err := os.WriteFile(token, []byte(e.token), 0o600); err != nil {
		t.Fatal(err)
	}
	h.run(t, "context", "create", "interop", "--engine", e.address(), "--token-file", token,
		"--engine-tls-ca-file", e.caFile(), "--default", "--no-api-url")
	return h
}

// command is a command of the CLI that sees this home and nothing of the machine's own rstream configuration.
func (h *home) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, os.Getenv("INTEROP_CLI"), arguments...)
	command.Env = []string{
		"HOME=" + h.directory,
		"PATH=" + os.Getenv("PATH"),
		"RSTREAM_CONFIG=" + filepath.Join(h.directory, "config.yaml"),
	}
	return command
}

// run runs a command to its end and returns its standard output.
func (h *home) run(t *testing.T, arguments ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandWait)
	defer cancel()
	output, err := h.command(ctx, arguments...).Output()
	if err != nil {
		t.Fatalf("rstream %v: %v\n%s", arguments, err, output)
	}
	return output
}

// status is a line that `rstream forward -o json` prints.
type status struct {
	Status     string `json:"status"`
	TunnelID   string `json:"tunnel_id"`
	Forwarding string `json:"forwarding"`
}

// forward starts `rstream forward`; the channel carries its status lines. The process ends with the test.
func (h *home) forward(t *testing.T, arguments ...string) <-chan status {
	t.Helper()
	command := h.command(context.Background(), append([]string{"forward", "-o", "json", "--retry-interval", "500"}, arguments...)...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan status, 1024)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			var line status
			if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Status != "" {
				lines <- line
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return lines
}

// online waits for the next line that says that the tunnel is open.
func online(t *testing.T, lines <-chan status) status {
	t.Helper()
	deadline := time.After(startWait)
	for {
		select {
		case line, running := <-lines:
			if !running {
				t.Fatal("rstream forward ended")
			}
			if line.Status == "online" {
				return line
			}
		case <-deadline:
			t.Fatalf("rstream forward was not online within %s", startWait)
		}
	}
}

func TestForwardPublishesAndComesBackAfterTheEngineRestarted(t *testing.T) {
	e := startEngine(t)
	label := uniqueName(t)
	lines := newHome(t, e).forward(t, pythonServer(t), "--host", label+".t.localhost")
	first := online(t, lines)
	if want := fmt.Sprintf("https://%s.t.localhost:%d", label, e.port); first.Forwarding != want || first.TunnelID == "" {
		t.Fatalf("online as %q with id %q, want %q", first.Forwarding, first.TunnelID, want)
	}
	e.expectPong(t, first.Forwarding)
	e.kill(t)
	e.start(t)
	second := online(t, lines)
	if second.Forwarding != first.Forwarding {
		t.Fatalf("back as %q, was %q", second.Forwarding, first.Forwarding)
	}
	e.expectPong(t, second.Forwarding)
}

func TestForwardWithoutFlagsGetsAnAddressThatWorks(t *testing.T) {
	e := startEngine(t)
	line := online(t, newHome(t, e).forward(t, nginxServer(t)))
	e.expectPong(t, line.Forwarding)
}

func TestForwardPrivateIsDialledByName(t *testing.T) {
	e := startEngine(t)
	name := uniqueName(t)
	line := online(t, newHome(t, e).forward(t, pythonServer(t), "--bytestream", "--no-publish", "--name", name))
	if want := fmt.Sprintf("rstrm://%s (unpublished)", name); line.Forwarding != want {
		t.Fatalf("forwarding %q, want %q", line.Forwarding, want)
	}
	request := "GET /ping HTTP/1.0\r\n\r\n"
	answer, err := ask(t, e, name, request)
	if err != nil || len(answer) < 5 || answer[len(answer)-5:] != "pong\n" {
		t.Fatalf("answer %q %v", answer, err)
	}
}

func TestTunnelListShowsTheLiveTunnels(t *testing.T) {
	e := startEngine(t)
	h, name := newHome(t, e), uniqueName(t)
	line := online(t, h.forward(t, pythonServer(t), "--name", name))
	var listed any
	if err := json.Unmarshal(h.run(t, "tunnel", "list", "-o", "json"), &listed); err != nil {
		t.Fatal(err)
	}
	tunnel := find(listed, "name", name)
	if tunnel == nil || tunnel["id"] != line.TunnelID || tunnel["status"] != "online" {
		t.Fatalf("tunnel %s is listed as %v in %v", name, tunnel, listed)
	}
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	e := startEngine(t)
	var report struct {
		Summary struct{ Fail int }
		Checks  []struct{ Name, Status, Message string }
	}
	// Deep: it opens and closes a private tunnel as well.
	if err := json.Unmarshal(newHome(t, e).run(t, "doctor", "-o", "json", "--deep"), &report); err != nil {
		t.Fatal(err)
	}
	statuses := map[string]string{}
	for _, check := range report.Checks {
		statuses[check.Name] = check.Status
		if check.Status == "fail" {
			t.Errorf("%s: %s", check.Name, check.Message)
		}
	}
	for _, name := range []string{"token", "engine_address", "dns", "tls", "engine", "tunnel_creation"} {
		if statuses[name] != "pass" {
			t.Errorf("check %s is %q, want pass", name, statuses[name])
		}
	}
	if report.Summary.Fail != 0 {
		t.Errorf("%d checks failed", report.Summary.Fail)
	}
}

// find returns the first object in a JSON value whose key has the value, however deep the CLI wraps its lists.
func find(value any, key string, wanted any) map[string]any {
	switch node := value.(type) {
	case map[string]any:
		if node[key] == wanted {
			return node
		}
		for _, child := range node {
			if found := find(child, key, wanted); found != nil {
				return found
			}
		}
	case []any:
		for _, child := range node {
			if found := find(child, key, wanted); found != nil {
				return found
			}
		}
	}
	return nil
}
