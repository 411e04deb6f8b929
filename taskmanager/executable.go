package taskmanager

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// digest is the SHA-256 of an executable.
type digest [sha256.Size]byte

// String returns the digest as 64 hexadecimal digits.
func (d digest) String() string { return hex.EncodeToString(d[:]) }

// errDigest says that bytes are not those that their digest names.
var errDigest = errors.New("the SHA-256 does not match")

// executable is a private copy of a job's executable. It is verified after
// nobody else can change it any more, so that what was verified is what runs.
type executable struct {
	file *os.File
	// path is what to execute; it leads to the copy itself.
	path string
	// remove deletes the copy, if closing the file does not.
	remove func() error
}

func (e *executable) close() error {
	err := e.file.Close()
	if e.remove != nil {
		err = errors.Join(err, e.remove())
	}
	return err
}

// verify compares the digest of what an executable's file holds.
func (e *executable) verify(want digest) error {
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(e.file, 0, math.MaxInt64))
	if err != nil {
		return fmt.Errorf("verify artefact %s: %w", want, err)
	}
	if got := digest(h.Sum(nil)); got != want {
		return fmt.Errorf("artefact %s: %w: it has %d bytes with SHA-256 %s", want, errDigest, n, got)
	}
	return nil
}

// privateCopy copies the executable into a file of the directory that only this
// user can read and execute. It is for where memory cannot be executed.
func privateCopy(directory string, from io.Reader) (*executable, error) {
	own, err := os.MkdirTemp(directory, runPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("copy the artefact: %w", err)
	}
	remove := func() error { return os.RemoveAll(own) }
	name := filepath.Join(own, "job")
	if err := writeExecutable(name, from); err != nil {
		return nil, errors.Join(err, remove())
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy the artefact: %w", err), remove())
	}
	return &executable{file: file, path: name, remove: remove}, nil
}

// writeExecutable leaves no descriptor open for writing: a file that has one
// cannot be executed.
func writeExecutable(name string, from io.Reader) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return fmt.Errorf("copy the artefact: %w", err)
	}
	_, err = io.Copy(file, from)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("copy the artefact: %w", err)
	}
	return nil
}

// machines are the names of the architectures that Go builds for, as ELF
// numbers them.
var machines = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
}

// checkPlatform says what is wrong with a file that cannot run here, from its
// first bytes, in better words than the kernel would. It also keeps scripts out:
// a job is a program built with Weir.
func checkPlatform(file io.ReaderAt) error {
	var head [20]byte
	n, err := file.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the executable: %w", err)
	}
	built := platformOf(head[:n])
	switch here := runtime.GOOS + "/" + runtime.GOARCH; built {
	case here:
		return nil
	case "":
		return fmt.Errorf("the artefact is not an executable (it begins with %q): "+
			"submit a Go package, or a program built with GOOS=%s GOARCH=%s", head[:min(n, 8)], runtime.GOOS, runtime.GOARCH)
	default:
		return fmt.Errorf("the executable is built for %s, but this TaskManager runs %s: build it with GOOS=%s GOARCH=%s",
			built, here, runtime.GOOS, runtime.GOARCH)
	}
}

// platformOf returns "linux/amd64" and the like for the first 20 bytes of an
// executable; empty if it is none.
func platformOf(head []byte) string {
	switch {
	case len(head) < 20:
		return ""
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		machine := elf.Machine(uint16(head[18]) | uint16(head[19])<<8)
		if head[5] == byte(elf.ELFDATA2MSB) {
			machine = elf.Machine(uint16(head[18])<<8 | uint16(head[19]))
		}
		if name, ok := machines[machine]; ok {
			return "linux/" + name
		}
		return "linux/" + machine.String()
	case bytes.HasPrefix(head, []byte{0xcf, 0xfa, 0xed, 0xfe}):
		switch head[4] {
		case 0x07:
			return "darwin/amd64"
		case 0x0c:
			return "darwin/arm64"
		}
		return "darwin/unknown"
	case bytes.HasPrefix(head, []byte("MZ")):
		return "windows"
	}
	return ""
}

// explainStart turns the error of a process that could not be started into one
// that says what to do.
func explainStart(program *executable, err error) error {
	if errors.Is(err, syscall.ENOENT) {
		if loader := interpreter(program.file); loader != "" {
			return fmt.Errorf("the executable needs the dynamic loader %s, which this host does not have: build it with CGO_ENABLED=0", loader)
		}
	}
	return fmt.Errorf("start the executable: %w", err)
}

// interpreter returns the dynamic loader that an ELF file asks for, or nothing.
func interpreter(file io.ReaderAt) string {
	f, err := elf.NewFile(file)
	if err != nil {
		return ""
	}
	const longest = 4096
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz <= longest {
			path := make([]byte, p.Filesz)
			if _, err := p.ReadAt(path, 0); err == nil {
				return string(bytes.TrimRight(path, "\x00"))
			}
		}
	}
	return ""
}
