package security

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weirstream/weir/internal/config"
)

// keyCredential is the configuration key of the file that holds the cluster's
// credential.
var keyCredential = config.CredentialFile.Key()

const (
	// A shorter secret can be guessed; 32 hexadecimal digits are 128 bits.
	minCredentialLength = 32
	maxCredentialLength = 1024

	howToCreate = "create one with: (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \\n' > FILE)"
)

// Credential is the secret that all calls within a cluster carry. The zero
// value is no credential, which matches nothing.
type Credential struct {
	value string
	// path is the file it came from; empty if it was given as a value.
	path       string
	configured bool
}

// NewCredential makes a credential of a secret that somebody has chosen. It
// returns an error unless the secret is 32 to 1024 printable ASCII characters
// without spaces.
func NewCredential(secret string) (Credential, error) {
	if err := checkSecret(secret); err != nil {
		return Credential{}, err
	}
	return Credential{value: secret, configured: true}, nil
}

// Secret returns the credential itself, for those who must send it.
func (c Credential) Secret() string { return c.value }

// Path returns the file that the credential was read from, empty if it was not.
func (c Credential) Path() string { return c.path }

// Configured reports whether somebody has chosen this credential, rather than
// a daemon created it for this machine alone.
func (c Credential) Configured() bool { return c.configured }

// String tells where the credential is from, and not what it is (S3).
func (c Credential) String() string {
	switch {
	case c.value == "":
		return "no credential"
	case c.path == "":
		return "a credential"
	}
	return "the credential in " + c.path
}

// GoString is [Credential.String], so that %#v shows no secret either.
func (c Credential) GoString() string { return c.String() }

// LogValue is [Credential.String] for slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// DefaultCredentialPath returns where the credential is if none is configured:
// weir/credential below $XDG_STATE_HOME, or below ~/.local/state where that is
// not set. It returns an error if the user has no home directory.
func DefaultCredentialPath() (string, error) {
	// The XDG specification says to ignore a path that is not absolute.
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "weir", "credential"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", fmt.Errorf("there is no home directory to keep the cluster's credential in ($HOME is %q): set %s",
			os.Getenv("HOME"), keyCredential)
	}
	return filepath.Join(home, ".local", "state", "weir", "credential"), nil
}

// LoadCredential reads the credential from the file that is configured with
// security.credential.file, or from [DefaultCredentialPath] if configured is empty. It is what a
// client calls: a credential that does not exist is an error that wraps
// [fs.ErrNotExist]. A file that others can read, or that belongs to another
// user, is refused (S4).
func LoadCredential(configured string) (Credential, error) {
	if configured != "" {
		c, err := readCredential(configured)
		if err != nil {
			return Credential{}, fmt.Errorf("%s: %w", keyCredential, err)
		}
		c.configured = true
		return c, nil
	}
	path, err := DefaultCredentialPath()
	if err != nil {
		return Credential{}, err
	}
	c, err := readCredential(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Credential{}, fmt.Errorf("no credential for the cluster: %w; a JobManager on this machine creates it, "+
			"for one elsewhere copy its credential and name the file with %s", err, keyCredential)
	}
	return c, err
}

// LoadOrCreateCredential is [LoadCredential] for daemons: where none is
// configured and none exists yet, it creates one, readable for this user only.
func LoadOrCreateCredential(configured string) (Credential, error) {
	c, err := LoadCredential(configured)
	if err == nil || configured != "" || !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	path, err := DefaultCredentialPath()
	if err != nil {
		return Credential{}, err
	}
	if err := createCredential(path); err != nil {
		return Credential{}, fmt.Errorf("create a credential (none is configured with %s): %w", keyCredential, err)
	}
	return readCredential(path)
}

// createCredential writes a new credential to path unless one is there. The
// file appears whole and under its name at once, by a hard link: so of several
// daemons that create it at the same moment one wins, and all read the same.
func createCredential(path string) error {
	dir := filepath.Dir(path)
	if err := PrivateDirectory(dir); err != nil {
		return fmt.Errorf("%w; or set %s", err, keyCredential)
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // crypto/rand.Read never fails: it ends the process instead.
	temp, err := os.CreateTemp(dir, ".credential-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(hex.EncodeToString(secret[:]) + "\n")
	// Synced, so that a crash of the machine cannot leave a name without bytes.
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// PrivateDirectory creates a directory for this user alone, with its parents.
// One that exists and that another user owns or can write to is refused (S4):
// in a place such as /tmp it may have been put there.
func PrivateDirectory(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return checkDirectory(path, info.Mode(), owner(info), os.Geteuid())
}

func readCredential(path string) (Credential, error) {
	file, err := os.Open(path)
	if err != nil {
		return Credential{}, err
	}
	defer func() { _ = file.Close() }()
	// What is checked is the open file, not what its name may lead to later.
	info, err := file.Stat()
	if err != nil {
		return Credential{}, err
	}
	if err := checkFile(path, info.Mode(), owner(info), os.Geteuid()); err != nil {
		return Credential{}, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxCredentialLength+64))
	if err != nil {
		return Credential{}, err
	}
	secret := strings.TrimSpace(string(content))
	if err := checkSecret(secret); err != nil {
		return Credential{}, fmt.Errorf("%s: %w; %s", path, err, howToCreate)
	}
	return Credential{value: secret, path: path}, nil
}

func checkSecret(secret string) error {
	if n := len(secret); n < minCredentialLength || n > maxCredentialLength {
		return fmt.Errorf("a credential has %d to %d characters, this one has %d",
			minCredentialLength, maxCredentialLength, n)
	}
	for i := range len(secret) {
		if secret[i] <= ' ' || secret[i] > '~' {
			return fmt.Errorf("a credential has printable ASCII characters only and no space; byte %d is %#02x", i, secret[i])
		}
	}
	return nil
}

// checkFile refuses a file whose secret others know (S4).
func checkFile(path string, mode fs.FileMode, owner, self int) error {
	switch {
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case owner != self:
		return fmt.Errorf("%s belongs to user %d, and this process runs as user %d: its credential is not ours to trust; "+
			"make it this user's own with: chown %d %s", path, owner, self, self, path)
	case mode.Perm()&0o077 != 0:
		return fmt.Errorf("%s can be read or written by others (mode %04o): replace the credential if others use this machine, "+
			"then protect it with: chmod 600 %s", path, mode.Perm(), path)
	}
	return nil
}

// checkDirectory refuses a directory in which others could replace files.
func checkDirectory(path string, mode fs.FileMode, owner, self int) error {
	switch {
	case !mode.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case owner != self:
		return fmt.Errorf("directory %s belongs to user %d, and this process runs as user %d: remove it", path, owner, self)
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("directory %s can be written by others (mode %04o): protect it with: chmod 700 %s",
			path, mode.Perm(), path)
	}
	return nil
}

func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
