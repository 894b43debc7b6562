"""What people see: lines and JSON, tables, bars."""
