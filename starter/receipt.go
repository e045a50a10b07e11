package main

import "fmt"

type receiptCommand struct {
	target `embed:""`
}

func (c *receiptCommand) Run(s *shell) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	gateway, err := s.gateway()
	if err != nil {
		return err
	}
	raw, err := gateway.Receipt(s.ctx, id)
	if err != nil {
		return err
	}
	text, err := indented(raw)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, text)
	return nil
}
