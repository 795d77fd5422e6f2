// The Go SDK, the reference client: publishing, private dials, half-close, heartbeats, refusals, an engine that restarts.
package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rstreamlabs/rstream-go"
)

const concurrentDials = 12

// connect opens a control channel that closes with the test.
func connect(t *testing.T, client *rstream.Client, heartbeat time.Duration) rstream.ControlChannel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerWait)
	defer cancel()
	control, err := client.Connect(ctx, &rstream.Config{HeartbeatInterval: &heartbeat})
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	t.Cleanup(func() { _ = control.Close() })
	return control
}

// open creates a byte stream tunnel.
func open(t *testing.T, control rstream.ControlChannel, properties rstream.TunnelProperties) rstream.BytestreamTunnel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerWait)
	defer cancel()
	created, err := control.CreateTunnel(ctx, properties)
	if err != nil {
		t.Fatalf("CreateTunnel: %v", err)
	}
	tunnel, ok := created.(rstream.BytestreamTunnel)
	if !ok {
		t.Fatalf("CreateTunnel gave a %T: the reply's type is not bytestream", created)
	}
	return tunnel
}

func published(hostname string) rstream.TunnelProperties {
	return rstream.TunnelProperties{
		Publish:     rstream.BoolPtr(true),
		Protocol:    rstream.ProtocolPtr(rstream.ProtocolHTTP),
		HTTPVersion: rstream.HTTPVersionPtr(rstream.HTTP1_1),
		Hostname:    rstream.StringPtr(hostname),
	}
}

func private(name string) rstream.TunnelProperties {
	return rstream.TunnelProperties{Name: rstream.StringPtr(name), Publish: rstream.BoolPtr(false)}
}

// echo answers every stream with what it received.
func echo(listener net.Listener) {
	for {
		stream, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			_, _ = io.Copy(stream, stream)
		}()
	}
}

// roundTrip dials, sends and expects the same bytes back.
func roundTrip(client *rstream.Client, target, payload string) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	stream, err := client.Dial(ctx, rstream.Addr{IdOrName: target})
	if err != nil {
		return fmt.Errorf("dial %s: %w", target, err)
	}
	defer stream.Close()
	if err := stream.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return err
	}
	if _, err := stream.Write([]byte(payload)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	answer := make([]byte, len(payload))
	if _, err := io.ReadFull(stream, answer); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if string(answer) != payload {
		return fmt.Errorf("answer %q, want %q", answer, payload)
	}
	return nil
}

// ask dials a private tunnel, sends a question and reads until the other side ends.
func ask(t *testing.T, e *engine, target, question string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerWait)
	defer cancel()
	stream, err := e.client(t, e.token, true).Dial(ctx, rstream.Addr{IdOrName: target})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	if err := stream.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return "", err
	}
	if _, err := stream.Write([]byte(question)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(stream)
	return string(answer), err
}

func TestPublishedTunnelsReachRealServers(t *testing.T) {
	e := startEngine(t)
	control := connect(t, e.client(t, e.token, true), 5*time.Second)
	if control.ServerDetails() == nil {
		t.Error("ServerDetails is nil")
	}
	for kind, upstream := range map[string]string{"python": pythonServer(t), "nginx": nginxServer(t)} {
		label := uniqueName(t)
		tunnel := open(t, control, published(label))
		go forward(tunnel, upstream)
		address, err := tunnel.ForwardingAddress()
		if want := fmt.Sprintf("https://%s.t.localhost:%d", label, e.port); err != nil || address != want {
			t.Fatalf("ForwardingAddress of %s = %q %v, want %q", kind, address, err, want)
		}
		e.expectPong(t, address)
	}
}

func TestPrivateDialByNameAndID(t *testing.T) {
	e := startEngine(t)
	for _, agentZeroRTT := range []bool{true, false} {
		control := connect(t, e.client(t, e.token, agentZeroRTT), 5*time.Second)
		name := uniqueName(t)
		tunnel := open(t, control, private(name))
		go echo(tunnel)
		properties, err := tunnel.Properties()
		if err != nil || properties.ID == nil || *properties.ID == "" {
			t.Fatalf("Properties: %v", err)
		}
		for _, dialZeroRTT := range []bool{true, false} {
			for _, target := range []string{name, *properties.ID} {
				if err := roundTrip(e.client(t, e.token, dialZeroRTT), target, "to "+target); err != nil {
					t.Errorf("agent zero-RTT %t, dial zero-RTT %t: %v", agentZeroRTT, dialZeroRTT, err)
				}
			}
		}
	}
}

func TestConcurrentDialsDoNotMix(t *testing.T) {
	e := startEngine(t)
	control := connect(t, e.client(t, e.token, true), 5*time.Second)
	name := uniqueName(t)
	go echo(open(t, control, private(name)))
	clients := []*rstream.Client{e.client(t, e.token, true), e.client(t, e.token, false)}
	var dials sync.WaitGroup
	for number := range concurrentDials {
		dials.Go(func() {
			if err := roundTrip(clients[number%2], name, fmt.Sprintf("payload %02d", number)); err != nil {
				t.Errorf("dial %d: %v", number, err)
			}
		})
	}
	dials.Wait()
}

func TestAReplyAfterTheDiallersEndOfFileArrives(t *testing.T) {
	e := startEngine(t)
	control := connect(t, e.client(t, e.token, true), 5*time.Second)
	name := uniqueName(t)
	tunnel := open(t, control, private(name))
	go func() {
		stream, err := tunnel.Accept()
		if err != nil {
			return
		}
		defer stream.Close()
		if asked, err := io.ReadAll(stream); err == nil {
			_, _ = stream.Write(append([]byte("after the end of: "), asked...))
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), answerWait)
	defer cancel()
	stream, err := e.client(t, e.token, true).Dial(ctx, rstream.Addr{IdOrName: name})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	half, ok := stream.(interface{ CloseWrite() error })
	if !ok {
		t.Fatalf("the SDK's stream %T cannot close its writing half", stream)
	}
	_ = stream.SetDeadline(time.Now().Add(answerWait))
	if _, err := stream.Write([]byte("a question")); err != nil {
		t.Fatal(err)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(stream)
	if err != nil || string(answer) != "after the end of: a question" {
		t.Fatalf("answer %q %v", answer, err)
	}
}

func TestHeartbeatsOfOneSecondKeepAChannelOpen(t *testing.T) {
	e := startEngine(t)
	control := connect(t, e.client(t, e.token, true), time.Second)
	name := uniqueName(t)
	go echo(open(t, control, private(name)))
	// An acknowledgement that the SDK does not expect would end the channel.
	select {
	case err := <-control.Done():
		t.Fatalf("the channel ended: %v", err)
	case <-time.After(3500 * time.Millisecond):
	}
	if err := roundTrip(e.client(t, e.token, false), name, "still here"); err != nil {
		t.Fatal(err)
	}
}

func TestAnAgentComesBackWithItsHostnameAfterTheEngineRestarted(t *testing.T) {
	e := startEngine(t)
	upstream, label := pythonServer(t), uniqueName(t)
	client := e.client(t, e.token, true)
	control := connect(t, client, time.Second)
	tunnel := open(t, control, published(label))
	go forward(tunnel, upstream)
	before, err := tunnel.ForwardingAddress()
	if err != nil {
		t.Fatal(err)
	}
	e.expectPong(t, before)
	e.kill(t)
	select {
	case <-control.Done():
	case <-time.After(answerWait):
		t.Fatal("the agent did not notice that the engine is gone")
	}
	e.start(t)
	tunnel = open(t, connect(t, client, time.Second), published(label))
	go forward(tunnel, upstream)
	after, err := tunnel.ForwardingAddress()
	if err != nil || after != before {
		t.Fatalf("the address became %q %v, was %q", after, err, before)
	}
	e.expectPong(t, after)
}

func TestRefusalsTellTheSDKWhetherToRetry(t *testing.T) {
	e := startEngine(t)
	ctx, cancel := context.WithTimeout(t.Context(), answerWait)
	defer cancel()
	var refused *rstream.EngineError
	_, err := e.client(t, "not-a-token", true).Connect(ctx, nil)
	if !errors.As(err, &refused) || refused.Retryable() {
		t.Errorf("a wrong token gave %v, want an engine error that is not retried", err)
	}
	label := uniqueName(t)
	open(t, connect(t, e.client(t, e.token, true), 5*time.Second), published(label))
	other := connect(t, e.client(t, e.createToken(t, "other"), true), 5*time.Second)
	_, err = other.CreateTunnel(ctx, published(label))
	if !errors.As(err, &refused) || !refused.Retryable() {
		t.Errorf("another credential's hostname gave %v, want an engine error that is retried", err)
	}
}
