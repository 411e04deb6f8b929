package metastore_test

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/weirstream/weir/jobmanager/metastore"
)

// childKey names the task of a child process, directoryKey its directory.
const (
	childKey     = "WEIR_METASTORE_CHILD"
	directoryKey = "WEIR_METASTORE_DIRECTORY"
)

func child(t *testing.T, test, task, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), childKey+"="+task, directoryKey+"="+dir)
	return cmd
}

// Mutant 21: kill -9 in the middle of transactions. What was acknowledged is there,
// every transaction is there as a whole, and no number is given twice.
func TestKill(t *testing.T) {
	if os.Getenv(childKey) == "write" {
		writeUntilKilled(t)
		return
	}
	c := localConfig(t)
	c.WaitForLock = false // The kernel releases the lock with the process.
	next := uint64(1)
	for round := range 8 {
		cmd := child(t, "TestKill", "write", c.StorageDir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := uint64(0)
		lines := bufio.NewScanner(out)
		for count := 0; lines.Scan(); count++ {
			if text, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
				if acknowledged, err = strconv.ParseUint(text, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			if count == 3+7*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || acknowledged < next {
			t.Fatalf("the child ended with %v after %d, acknowledged after %d", err, acknowledged, next)
		}
		s := open(t, c)
		l := lead(t, s)
		x, err := s.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		y, err := s.Get(t.Context(), "y")
		if err != nil {
			t.Fatal(err)
		}
		if string(x.Value) != string(y.Value) || x.Revision != y.Revision {
			t.Errorf("a transaction in parts: %q, %q", x.Value, y.Value)
		}
		if kept, err := strconv.ParseUint(string(x.Value), 10, 64); err != nil || kept < acknowledged {
			t.Errorf("%q is left (%v), %d was acknowledged", x.Value, err, acknowledged)
		}
		n, err := l.Allocate(t.Context(), "counter")
		if err != nil || n <= acknowledged {
			t.Errorf("the next number is %d (%v), %d was given", n, err, acknowledged)
		}
		next = n + 1
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled allocates numbers and writes each to two keys at once.
func writeUntilKilled(t *testing.T) {
	t.Helper()
	l := lead(t, open(t, metastore.Config{StorageDir: os.Getenv(directoryKey), Logger: slog.New(slog.DiscardHandler)}))
	for {
		n, err := l.Allocate(t.Context(), "counter")
		if err != nil {
			t.Fatal(err)
		}
		value := strconv.AppendUint(nil, n, 10)
		commit(t, l, tx().Put("x", value).Put("y", value))
		if _, err := fmt.Fprintf(os.Stdout, "acknowledged %d\n", n); err != nil {
			t.Fatal(err)
		}
	}
}

// D1: the machine crashes, and any part of what was not synced is lost.
func TestMachineCrashes(t *testing.T) {
	c := localConfig(t)
	disk := vfs.NewCrashableMem()
	r := rand.New(rand.NewPCG(3, 3))
	last := 0
	for round := range 30 {
		s, err := metastore.OpenOn(t.Context(), c, disk)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round > 0 {
			expectData(t, s, "x", strconv.Itoa(last))
			expectData(t, s, "y", strconv.Itoa(last))
		}
		l := lead(t, s)
		for range 1 + r.IntN(5) {
			last++
			value := []byte(strconv.Itoa(last))
			commit(t, l, tx().Put("x", value).Put("y", value).Put("large", make([]byte, r.IntN(300_000))))
		}
		crashed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		disk = crashed
	}
}

// D3, D4: the write-ahead log cannot be written. Nobody knows then what is in it, the
// leadership is lost, nothing hangs, and the next process reads what is there. The
// store cannot be closed any more, so this happens in a process of its own.
func TestLogFails(t *testing.T) {
	if os.Getenv(childKey) == "fail" {
		writeToFailingLog(t)
		return
	}
	c := localConfig(t)
	out, err := child(t, "TestLogFails", "fail", c.StorageDir).Output()
	if !strings.Contains(string(out), "as expected") {
		t.Fatalf("%v\n%s", err, out)
	}
	s := open(t, c)
	if e, err := s.Get(t.Context(), "x"); err != nil || string(e.Value) != "1" && string(e.Value) != "2" {
		t.Errorf("%q, %v", e.Value, err)
	}
	commit(t, lead(t, s), tx().Put("x", []byte("3")))
}

func writeToFailingLog(t *testing.T) {
	t.Helper()
	toggle := &errorfs.Toggle{Injector: errorfs.ErrInjected.If(errorfs.Writes)}
	c := metastore.Config{StorageDir: os.Getenv(directoryKey), Logger: slog.New(slog.DiscardHandler)}
	s, err := metastore.OpenOn(t.Context(), c, errorfs.Wrap(vfs.Default, toggle))
	if err != nil {
		t.Fatal(err)
	}
	l := lead(t, s)
	commit(t, l, tx().Put("x", []byte("1")))
	toggle.On()
	_, err = l.Commit(t.Context(), tx().Put("x", []byte("2")))
	unknown, ok := errors.AsType[*metastore.AmbiguousError](err)
	if !ok {
		t.Fatalf("Commit: %v", err)
	}
	<-l.Lost()
	_, settle := l.Settle(t.Context(), unknown.Transaction)
	_, get := s.Get(t.Context(), "x")
	_, campaign := s.Campaign(t.Context(), "again")
	if !errors.Is(settle, metastore.ErrAmbiguous) || !errors.Is(get, metastore.ErrUnavailable) || !errors.Is(campaign, metastore.ErrUnavailable) {
		t.Fatalf("Settle: %v, Get: %v, Campaign: %v", settle, get, campaign)
	}
	if err := s.Close(); !errors.Is(err, metastore.ErrUnavailable) || !strings.Contains(err.Error(), "end this process") {
		t.Fatalf("Close: %v", err)
	}
	if _, err := fmt.Fprintln(os.Stdout, "as expected"); err != nil {
		t.Fatal(err)
	}
}
