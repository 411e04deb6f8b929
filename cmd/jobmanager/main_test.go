package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/internal/process"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// environment is what a JobManager with these settings is started with.
func environment(t *testing.T, overrides ...string) process.Environment {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	c, _, err := config.Load("", overrides)
	if err != nil {
		t.Fatal(err)
	}
	return process.Environment{Config: c, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Ready: func(string) {}}
}

func TestItServesUntilItIsTold(t *testing.T) {
	base := t.TempDir()
	e := environment(t, "jobmanager.rpc.port=0", "process.working-dir="+base)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asking := goroutine.New(t.Context())
	e.Ready = func(address string) {
		if host, _, err := net.SplitHostPort(address); err != nil || host != "localhost" {
			t.Errorf("ready at %q", address)
		}
		asking.Go(func(ctx context.Context) error {
			defer stop()
			return ask(ctx, address)
		})
	}
	if err := run(ctx, e); err != nil {
		t.Error(err)
	}
	if err := asking.Wait(); err != nil {
		t.Error(err)
	}
	// Nobody would find the directory of any free port again.
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// ask lists the jobs with the credential that the JobManager has created.
func ask(ctx context.Context, address string) error {
	credential, err := client.LocalCredential()
	if err != nil {
		return err
	}
	c, err := client.Dial(client.Config{Address: address, Credential: credential})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.List(ctx)
	return err
}

func TestWhatKeepsItFromStarting(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	for _, test := range []struct {
		settings []string
		want     string
	}{
		{[]string{"jobmanager.rpc.port=" + port}, "address already in use: perhaps a JobManager runs here already; for a further one set another jobmanager.rpc.port"},
		{[]string{"jobmanager.bind-host=0.0.0.0"}, "jobmanager.bind-host: listening on 0.0.0.0"},
		{[]string{"security.credential.file=" + missing}, missing},
		{[]string{
			"security.ssl.internal.enabled=true", "security.ssl.certificate-file=" + missing,
			"security.ssl.key-file=" + missing, "security.ssl.ca-file=" + missing,
		}, "security.ssl.certificate-file: open " + missing},
		{[]string{"jobmanager.rpc.port=0", "process.working-dir=/dev/null"}, "process.jobmanager.working-dir"},
	} {
		err := run(t.Context(), environment(t, test.settings...))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want %q", test.settings, err, test.want)
		}
	}
}

func TestTheDirectoryOfAStablePortIsKept(t *testing.T) {
	base := t.TempDir()
	e := environment(t, "jobmanager.rpc.port=7000", "process.working-dir="+base)
	path, forget, err := workingDirectory(e.Config, 7000)
	if err != nil || path != filepath.Join(base, "jm_7000") {
		t.Fatalf("got %s, %v", path, err)
	}
	if err := forget(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
}
