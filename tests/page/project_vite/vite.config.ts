import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// top-level await
export default defineConfig({ plugins: [react()], build: { target: "es2022" } });
