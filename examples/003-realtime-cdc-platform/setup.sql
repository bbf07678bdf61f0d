CREATE TABLE products (
    id SERIAL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    price DECIMAL(10,2) NOT NULL,
    stock_quantity INTEGER NOT NULL DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE orders (
    id SERIAL PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    total_amount DECIMAL(10,2) NOT NULL,
    status VARCHAR(50) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE order_items (
    id SERIAL PRIMARY KEY,
    order_id INTEGER REFERENCES orders(id),
    product_id INTEGER REFERENCES products(id),
    quantity INTEGER NOT NULL,
    price DECIMAL(10,2) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
ALTER TABLE products REPLICA IDENTITY FULL;
ALTER TABLE orders REPLICA IDENTITY FULL;
ALTER TABLE order_items REPLICA IDENTITY FULL;
INSERT INTO products (name, description, price, stock_quantity)
    SELECT 'Product ' || i, 'Sample ' || i, i * 10.50, i * 100 FROM generate_series(1, 5) i;
INSERT INTO orders (customer_id, total_amount, status)
    SELECT i, i * 21.00, 'pending' FROM generate_series(1, 3) i;
INSERT INTO order_items (order_id, product_id, quantity, price)
    SELECT 1 + i % 3, i, 2, i * 10.50 FROM generate_series(1, 4) i;
CREATE ROLE dbadmin SUPERUSER LOGIN PASSWORD 'rds-password';
