package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// target is what the user named as the job.
type target struct {
	// argument is how it was named.
	argument string
	// pkg is what the go command is to build, in directory; empty for an
	// executable.
	pkg, directory string
}

// findTarget tells a Go package from an executable: a directory is a package,
// and so is a name that no file has; a file is an executable unless it is Go
// source.
func findTarget(argument string) (target, error) {
	info, err := os.Stat(argument)
	switch {
	case err == nil && info.IsDir():
		// Built from within, so that the package's own module is the one that counts.
		return target{argument: argument, pkg: ".", directory: argument}, nil
	case err == nil && strings.HasSuffix(argument, ".go"):
		return target{argument: argument, pkg: filepath.Base(argument), directory: filepath.Dir(argument)}, nil
	case err == nil && !info.Mode().IsRegular():
		return target{}, fmt.Errorf("%s is neither an executable nor a Go package (%v)", argument, info.Mode())
	case err == nil:
		return target{argument: argument}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return target{}, err
	case filepath.IsAbs(argument) || strings.HasPrefix(argument, "./") || strings.HasPrefix(argument, "../"):
		return target{}, fmt.Errorf("%s: there is no such executable or Go package", argument)
	}
	return target{argument: argument, pkg: argument}, nil
}

// build builds the package for a platform ("linux/amd64"; empty is this
// machine's) and returns the executable, which is in the directory dir.
func (a *app) build(ctx context.Context, t target, platform, dir string) (path string, err error) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("%s is a Go package, and building it needs the go command: %w; install Go, or give an executable", t.argument, err)
	}
	environment := append(os.Environ(), "CGO_ENABLED=0")
	if platform != "" {
		system, architecture, _ := strings.Cut(platform, "/")
		environment = append(environment, "GOOS="+system, "GOARCH="+architecture)
	}
	goRun := func(args ...string) (string, error) {
		var stdout, stderr bytes.Buffer
		command := exec.CommandContext(ctx, goCommand, args...)
		command.Dir, command.Env, command.Stdout, command.Stderr = t.directory, environment, &stdout, &stderr
		if err := command.Run(); err != nil {
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			return "", fmt.Errorf("could not build %s (%w):\n%s", t.argument, err, strings.TrimRight(stderr.String(), "\n"))
		}
		return stdout.String(), nil
	}
	// "go build -o" writes an archive for a package that is no program.
	listed, err := goRun("list", "-e", "-f", "{{.Name}}\t{{.ImportPath}}", "--", t.pkg)
	if err != nil {
		return "", err
	}
	packages := strings.Split(strings.TrimSuffix(listed, "\n"), "\n")
	name, importPath, _ := strings.Cut(packages[0], "\t")
	if len(packages) != 1 {
		return "", fmt.Errorf("%s is %d packages: a job is one", t.argument, len(packages))
	}
	if name != "main" && name != "" {
		return "", fmt.Errorf("%s is package %s: a job is a program, package main", t.argument, name)
	}
	path = filepath.Join(dir, programName(t, importPath))
	_, err = goRun("build", "-trimpath", "-o", path, "--", t.pkg)
	return path, err
}

// programName is what the go command would call the executable.
func programName(t target, importPath string) string {
	if source, ok := strings.CutSuffix(t.pkg, ".go"); ok {
		return source
	}
	if name := filepath.Base(importPath); name != "." && name != "/" && importPath != "" {
		return name
	}
	return "job"
}

// checkExecutable refuses a file that no TaskManager could run, before it is
// sent. Without platforms only the kind of file is checked.
func checkExecutable(path string, platforms []string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	program, err := elf.NewFile(file)
	if err != nil {
		return fmt.Errorf("%s is not an executable for Linux%s", path, kindOf(file))
	}
	if program.Type != elf.ET_EXEC && program.Type != elf.ET_DYN {
		return fmt.Errorf("%s is not an executable: it is an ELF file of type %v", path, program.Type)
	}
	platform := "linux/" + architectureOf(program)
	if len(platforms) > 0 && !slices.Contains(platforms, platform) {
		return fmt.Errorf("%s is built for %s, and the cluster's TaskManagers are %s: build it with GOOS and GOARCH set to that",
			path, platform, strings.Join(platforms, ", "))
	}
	return nil
}

func architectureOf(program *elf.File) string {
	name := goArchitectures[program.Machine]
	if name == "" {
		name = strings.ToLower(strings.TrimPrefix(program.Machine.String(), "EM_"))
	}
	if name == "ppc64" && program.Data == elf.ELFDATA2LSB {
		name = "ppc64le"
	}
	return name
}

// goArchitectures are Go's names of the machines it builds for on Linux.
var goArchitectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv64", elf.EM_LOONGARCH: "loong64", elf.EM_S390: "s390x", elf.EM_PPC64: "ppc64",
}

// kindOf says what a file is that is no ELF file, as far as its first bytes tell.
func kindOf(file io.ReaderAt) string {
	head := make([]byte, 4)
	n, _ := file.ReadAt(head, 0)
	head = head[:n]
	switch {
	case n == 0:
		return ": it is empty"
	case bytes.HasPrefix(head, []byte("#!")):
		return ": it is a script"
	case bytes.HasPrefix(head, []byte("MZ")):
		return ": it is one for Windows; build it with GOOS=linux"
	case bytes.Equal(head, []byte{0xcf, 0xfa, 0xed, 0xfe}), bytes.Equal(head, []byte{0xca, 0xfe, 0xba, 0xbe}):
		return ": it is one for macOS; build it with GOOS=linux"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return ": it is a jar or zip file; a job of Weir is an executable"
	}
	return ""
}
