package main

import (
	"fmt"
	"os"
)

type adoptCommand struct {
	atPlaces `kong:"-"`

	Place string `arg:"" help:"catalog, vault, temporal, or the name of a store."`
}

// Run goes round the gateway: it needs the settings of one, and works on the places
// themselves.
func (c *adoptCommand) Run(s *shell) error {
	log := s.Logger(os.Stderr)
	p, err := openPlaces(s, log)
	if err != nil {
		return err
	}
	defer p.close()
	temporal, err := p.connect(s, log, true)
	if err != nil {
		return err
	}
	defer temporal.Close()
	done, err := p.installation.Adopt(s.ctx, c.Place)
	if err != nil {
		return err
	}
	before := done.Replaced
	if before == "" {
		before = "none"
	}
	if done.Replaced == done.ID {
		fmt.Fprintf(s.out, "%s belonged to the installation %s already\n", done.Place, done.ID)
	} else {
		fmt.Fprintf(s.out, "%s belongs to the installation %s now (before: %s)\n", done.Place, done.ID, before)
	}
	if done.Restored > 0 {
		fmt.Fprintf(s.out, "it lacked the records of %d erasures, which stores and catalog have: they are restored, and those keys destroyed\n", done.Restored)
	}
	if done.Lost != "" {
		fmt.Fprintln(s.out, done.Lost)
	}
	for _, line := range p.installation.Survey(s.ctx) {
		fmt.Fprintln(s.out, line)
	}
	return nil
}
