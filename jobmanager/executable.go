package jobmanager

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// executable is what the head of a file tells about it.
type executable struct {
	// platform is what it runs on: "linux/amd64".
	platform string
	// dynamic says that it needs shared libraries of the machine that runs it.
	dynamic bool
}

// notBinary are files that people submit in place of an executable, by how they
// begin.
var notBinary = []struct{ magic, what string }{
	{"#!", "a script"},
	{"PK\x03\x04", "an archive, such as a jar"},
	{"\x1f\x8b", "a gzip file"},
	{"package ", "Go source"},
	{"//", "source text"},
	{"!<arch>", "a library of objects, such as go build makes of a package without main"},
	{"\x7fGO", "an object file of the Go compiler"},
}

// inspect tells what an executable is. The error says why the file is none, in
// words for the user; name is the file's.
func inspect(name string, r io.ReaderAt) (executable, error) {
	head := make([]byte, 16)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return executable{}, fmt.Errorf("read %s: %w", name, err)
	}
	head = head[:n]
	var e executable
	switch {
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		e, err = inspectELF(r)
	case bytes.HasPrefix(head, []byte("MZ")):
		e, err = inspectPE(r)
	case isMachO(head):
		e, err = inspectMachO(r)
	default:
		return executable{}, fmt.Errorf("%s is %s, not an executable: submit what go build makes of a program with weir.Main, "+
			"or the package itself with weir run", name, describeHead(head))
	}
	if err != nil {
		return executable{}, fmt.Errorf("%s is not an executable that can be run: %w", name, err)
	}
	return e, nil
}

func describeHead(head []byte) string {
	for _, known := range notBinary {
		if bytes.HasPrefix(head, []byte(known.magic)) {
			return known.what
		}
	}
	if len(head) == 0 {
		return "empty"
	}
	return fmt.Sprintf("a file that begins with %q", head[:min(4, len(head))])
}

// architectures are Go's names of the machines in ELF files. Those with two
// byte orders or widths are told apart in inspectELF.
var architectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64", elf.EM_PPC64: "ppc64", elf.EM_MIPS: "mips",
}

func inspectELF(r io.ReaderAt) (executable, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return executable{}, fmt.Errorf("its ELF header is damaged: %w", err)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return executable{}, fmt.Errorf("it is an ELF file of type %s: link it into an executable", f.Type)
	}
	system := "linux"
	switch f.OSABI {
	case elf.ELFOSABI_NONE, elf.ELFOSABI_LINUX:
	case elf.ELFOSABI_FREEBSD:
		system = "freebsd"
	case elf.ELFOSABI_NETBSD:
		system = "netbsd"
	case elf.ELFOSABI_OPENBSD:
		system = "openbsd"
	case elf.ELFOSABI_SOLARIS:
		system = "solaris"
	default:
		system = strings.ToLower(strings.TrimPrefix(f.OSABI.String(), "ELFOSABI_"))
	}
	arch, ok := architectures[f.Machine]
	if !ok {
		arch = strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_"))
	}
	if f.Machine == elf.EM_PPC64 && f.Data == elf.ELFDATA2LSB {
		arch = "ppc64le"
	}
	dynamic := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	return executable{platform: system + "/" + arch, dynamic: dynamic}, nil
}

func isMachO(head []byte) bool {
	for _, magic := range []string{"\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xfe\xed\xfa\xcf", "\xfe\xed\xfa\xce"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

func inspectMachO(r io.ReaderAt) (executable, error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return executable{}, fmt.Errorf("its Mach-O header is damaged: %w", err)
	}
	if f.Type != macho.TypeExec {
		return executable{}, fmt.Errorf("it is a Mach-O file of type %s: link it into an executable", f.Type)
	}
	arch := strings.ToLower(strings.TrimPrefix(f.Cpu.String(), "Cpu"))
	return executable{platform: "darwin/" + arch}, nil
}

func inspectPE(r io.ReaderAt) (executable, error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return executable{}, fmt.Errorf("its PE header is damaged: %w", err)
	}
	arch := map[uint16]string{
		pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_I386: "386",
	}[f.Machine]
	if arch == "" {
		arch = fmt.Sprintf("machine %#x", f.Machine)
	}
	return executable{platform: "windows/" + arch}, nil
}

// checkPlatform returns an error if TaskManagers are registered and none can
// run the executable. platforms has those of the registered ones.
func (e executable) checkPlatform(name string, platforms []string) error {
	if len(platforms) == 0 || e.platform == "" || slices.Contains(platforms, e.platform) {
		return nil
	}
	system, arch, _ := strings.Cut(platforms[0], "/")
	return fmt.Errorf("%s is built for %s, but the TaskManagers run on %s: build it with GOOS=%s GOARCH=%s CGO_ENABLED=0 go build, "+
		"or give weir run the package", name, e.platform, strings.Join(platforms, " and "), system, arch)
}
