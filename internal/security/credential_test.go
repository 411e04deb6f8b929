package security_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/security"
)

const secret = "0123456789abcdef0123456789abcdef"

// stateHome gives the test a state directory of its own and returns where the
// default credential is then.
func stateHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	return filepath.Join(dir, "weir", "credential")
}

func TestDefaultCredentialPath(t *testing.T) {
	for _, test := range []struct{ name, state, home, want string }{
		{"state home", "/state", "/home/u", "/state/weir/credential"},
		{"home", "", "/home/u", "/home/u/.local/state/weir/credential"},
		{"a relative state home does not count", "state", "/home/u", "/home/u/.local/state/weir/credential"},
		{"no home", "", "", ""},
		{"a relative home", "", "u", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", test.state)
			t.Setenv("HOME", test.home)
			got, err := security.DefaultCredentialPath()
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), "security.credential.file") {
				t.Errorf("the error does not say what to set: %v", err)
			}
		})
	}
}

func TestADaemonCreatesWhatTheClientThenFinds(t *testing.T) {
	path := stateHome(t)
	if _, err := security.LoadCredential(""); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before a daemon started: %v, want an error that wraps fs.ErrNotExist", err)
	}
	created, err := security.LoadOrCreateCredential("")
	if err != nil {
		t.Fatal(err)
	}
	if len(created.Secret()) != 64 || strings.Trim(created.Secret(), "0123456789abcdef") != "" {
		t.Errorf("the secret %q is not 32 bytes in hexadecimal digits", created.Secret())
	}
	if created.Configured() || created.Path() != path {
		t.Errorf("configured %v at %s, want a created one at %s", created.Configured(), created.Path(), path)
	}
	found, err := security.LoadCredential("")
	if err != nil || found.Secret() != created.Secret() {
		t.Errorf("the client found %q, %v, want %q", found.Secret(), err, created.Secret())
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v, want the credential alone", entries, err)
	}
}

func TestDaemonsThatStartAtOnceShareOneCredential(t *testing.T) {
	stateHome(t)
	const daemons = 16
	secrets := make(chan string, daemons)
	start := make(chan struct{})
	g := goroutine.New(t.Context())
	for range daemons {
		g.Go(func(context.Context) error {
			<-start
			c, err := security.LoadOrCreateCredential("")
			secrets <- c.Secret()
			return err
		})
	}
	close(start)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	close(secrets)
	first := <-secrets
	if first == "" {
		t.Fatal("no secret")
	}
	for s := range secrets {
		if s != first {
			t.Errorf("daemons got %s and %s", first, s)
		}
	}
}

func TestAConfiguredCredential(t *testing.T) {
	stateHome(t)
	path := filepath.Join(t.TempDir(), "cluster")
	if _, err := security.LoadOrCreateCredential(path); !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "security.credential.file") {
		t.Errorf("a configured file that is missing: %v, want an error that names the key", err)
	}
	write(t, path, "  "+secret+"\n\n", 0o400)
	c, err := security.LoadOrCreateCredential(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Secret() != secret || !c.Configured() || c.Path() != path {
		t.Errorf("got %q, configured %v, from %s", c.Secret(), c.Configured(), c.Path())
	}
	for _, shown := range []string{c.String(), fmt.Sprintf("%v %+v %#v", c, c, c), c.LogValue().String()} {
		if strings.Contains(shown, secret) {
			t.Errorf("the secret is shown: %s", shown)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	stateHome(t)
	dir := t.TempDir()
	for _, test := range []struct {
		name, content string
		mode          fs.FileMode
		want          []string
	}{
		{"group may read", secret, 0o640, []string{"mode 0640", "chmod 600 "}},
		{"others may read", secret, 0o604, []string{"mode 0604", "chmod 600 "}},
		{"group may write", secret, 0o620, []string{"mode 0620", "chmod 600 "}},
		{"empty", "", 0o600, []string{"this one has 0", "umask 077"}},
		{"short", secret[1:], 0o600, []string{"32 to 1024 characters, this one has 31"}},
		{"long", strings.Repeat("x", 1025), 0o600, []string{"this one has 1025"}},
		{"two lines", secret + "\n" + secret, 0o600, []string{"printable ASCII", "0x0a"}},
		{"binary", secret + "\xff", 0o600, []string{"printable ASCII", "0xff"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(test.name, " ", "-"))
			write(t, path, test.content, test.mode)
			c, err := security.LoadCredential(path)
			if err == nil {
				t.Fatalf("accepted: %s", c.Path())
			}
			for _, want := range append(test.want, path, "security.credential.file") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the secret is shown: %v", err)
			}
		})
	}
	if _, err := security.LoadCredential(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestADirectoryThatOthersCanWriteIsRefused(t *testing.T) {
	path := stateHome(t)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o770); err != nil {
		t.Fatal(err)
	}
	_, err := security.LoadOrCreateCredential("")
	if err == nil || !strings.Contains(err.Error(), "chmod 700 "+filepath.Dir(path)) {
		t.Errorf("got %v, want a refusal that says what to do", err)
	}
	if !strings.Contains(err.Error(), "security.credential.file") {
		t.Errorf("the error does not say what to set: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a credential was written nevertheless: %v", err)
	}
}

func TestAFileOfAnotherUserIsRefused(t *testing.T) {
	err := security.CheckFile("/etc/weir/credential", 0o600, 1001, 1000)
	if err == nil || !strings.Contains(err.Error(), "belongs to user 1001") || !strings.Contains(err.Error(), "chown 1000") {
		t.Errorf("got %v", err)
	}
	if err := security.CheckFile("/etc/weir/credential", 0o600, 1000, 1000); err != nil {
		t.Errorf("one's own: %v", err)
	}
	if err := security.CheckDirectory("/state/weir", fs.ModeDir|0o700, 1001, 1000); err == nil {
		t.Error("a directory of another user was accepted")
	}
}

func TestNewCredential(t *testing.T) {
	c, err := security.NewCredential(secret)
	if err != nil || c.Secret() != secret || !c.Configured() {
		t.Errorf("got %q, %v", c.Secret(), err)
	}
	if _, err := security.NewCredential("short"); err == nil {
		t.Error("a short secret was accepted")
	}
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // The mode of WriteFile is cut by the umask.
		t.Fatal(err)
	}
}
