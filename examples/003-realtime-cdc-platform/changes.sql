INSERT INTO products (name, description, price, stock_quantity)
VALUES ('Test Product', 'CDC Test', 99.99, 100);

UPDATE products SET price = 89.99 WHERE name = 'Test Product';

DELETE FROM products WHERE name = 'Test Product';
