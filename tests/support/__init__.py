"""What tests share: stand-ins and builders. Nothing of the product imports this."""
