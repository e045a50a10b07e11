package devstacktest

import (
	"os"
	"testing"
)

// Shared is a stack for tests of one package that run one after the other: a server takes
// seconds to start, and most tests need no fresh one. A part that a test has stopped it
// starts again. TestMain calls Stop.
//
//	var shared devstacktest.Shared
type Shared struct {
	stack *Stack
	dir   string
}

// Start returns the stack, which runs the parts that its first caller named.
func (s *Shared) Start(t testing.TB, parts ...string) *Stack {
	t.Helper()
	skipIfShort(t)
	if s.stack != nil {
		return s.stack
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "devstack"); err != nil {
		t.Fatal(err)
	}
	s.stack = &Stack{dir: s.dir, binary: binary(t), parts: map[string]*part{}}
	if err := s.stack.start(expand(parts)); err != nil {
		t.Fatal(err)
	}
	return s.stack
}

// Stop ends what was started, and removes its state.
func (s *Shared) Stop() error {
	if s.stack == nil {
		return nil
	}
	s.stack.mu.Lock()
	defer s.stack.mu.Unlock()
	s.stack.end()
	return os.RemoveAll(s.dir)
}
